"""Other people's loaders as ways of benchmarks.load and benchmarks.resume.

In: a Job. Out: Delivered batches; for some, a copy of the clips in their own form.
Imported by: nobody by name; benchmarks.load.catalog names them, and the process that runs one imports it.

    install    an environment for each, beside the project's
"""
