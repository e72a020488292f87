"""What all benchmarks stand on, whatever they measure.

In: functions that measure something, by the names of the ways that are compared.
Out: their figures round by round, and tables of them for the terminal and for a page.
Imported by: every benchmark.

    runner   processes of their own, ways in turn, figures of each round; costs in seconds
    child    the process that is measured in; light
    trials   many of something that may crash, hang or die
    table    medians, spreads and ratios as tables; what was wanted of them; command lines
"""
