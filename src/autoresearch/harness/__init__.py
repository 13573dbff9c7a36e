"""The frozen part of a lab: data, tokenizer, training budget and the measure (bits per byte).

A training script imports from these modules and from nothing else of the tool:
    autoresearch.harness.loader   open_data, Batches, trial_seed
    autoresearch.harness.clock    Clock
    autoresearch.harness.bpb      evaluate, print_summary

Not stopped here: script and measure share one process, so a script that sets out to cheat can
replace these functions or print a summary of its own. Only an examination from outside ends that.
"""
