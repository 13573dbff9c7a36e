"""Every known way to cheat the ratchet that needs no GPU, as a whole train.py or as an answer.

The numbers are those of a catalogue of 54 documented cheats, drawn up for this project from reports
about other automated benchmarks and from attacks of our own; letters are variants.

    base.py       the honest script that every cheat is made from
    cheat.py      what a cheat is, and how its train.py is made
    scores.py     the printed figures, the measure, the budget
    models.py     models that see what they must not
    stores.py     places where one process of a trial may leave word for the next
    memories.py   what is done with them
    leaks.py      text and weights that a trial is not to have
    system.py     the machine: files, processes, network, git
    stops.py      what would stop the run; played by tests/ratchet/test_stops.py
    answers.py    what an answer asks for before anything runs
    catalogue.py  all of them, what stops each at each level of the jail, and what does not
    stage.py      a machine to attack: lab, Python, data, home, keys, listeners.py, a bystander
    harms.py      what is looked at from outside afterwards
    play.py       the cheats run by the tool, and by a loop that trusts what is printed (loop.py)
    campaign.py   all of it, once; table.py makes a table of it

Nothing here touches a file or a process that a test has not made.
"""
