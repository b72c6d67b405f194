"""Programs that nobody wrote: all short ones, and random long ones.

A *setting* is the memory that a program begins with, a *letter* an operation that a program may have next. A program of
letters is run on the kernel, on the contract and on the kernel as it is known, and ends with the same questions as all
others, so that the state that it leaves behind is compared as well.
"""
