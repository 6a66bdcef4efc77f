"""What leaves a run: its tables, its lineage, its best script, a report, as files for other programs and for people.

`gather` reads one run at one instant, `registry` lists what can be written in which form, `saving` lets a file or a folder
appear as a whole or not at all. A module each for the forms. Nothing here writes anything else.
"""
