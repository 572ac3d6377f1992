"""What other pages and programs embed or subscribe to: badges, cards, feeds, the whole catalogue."""
