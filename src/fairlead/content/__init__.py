"""What was asked and answered, where an organisation has switched it on: redacted, sealed, and deleted after some days.

Nothing here is part of the ledger: a record says what a call cost, whether its content is kept or not.
"""
