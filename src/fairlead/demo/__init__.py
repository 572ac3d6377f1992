"""`fairlead demo`: a gateway full of life without a network. Scripted providers, organisations and 40 days of history,
the same for the same seed; then live calls. It writes history with the functions of the gateway itself, while the clock
is wound through those days."""
