"""What other catalogues say of models, as statements for our files. Each reads one format and touches nothing."""
