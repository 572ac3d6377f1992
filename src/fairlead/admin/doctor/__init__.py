"""What a client would find at a running server: each one's handshake, imitated."""
