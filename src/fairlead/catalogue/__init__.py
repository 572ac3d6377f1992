"""Models, providers, deployments and prices: TOML in, checked, an immutable snapshot out."""
