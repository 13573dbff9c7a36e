"""What holds a trial: the jail around it, proved, and the files that none may change."""
