"""What a run has recorded: the journal, the state folded from it, and the files made from that."""
