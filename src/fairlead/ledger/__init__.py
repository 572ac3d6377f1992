"""What every call cost: a record that outlives the process, postings that balance, receipts that can be re-derived."""
