"""/admin: the pages of operators. Each calls a use-case of `admin/`, as the command line does."""
