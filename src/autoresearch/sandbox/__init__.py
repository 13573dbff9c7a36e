"""What holds a trial: the jail around it, tested at every start, and the files that none may change."""
