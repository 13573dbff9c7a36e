"""git, and nothing but git: the repository, the run's private worktree, the user's checkout."""
