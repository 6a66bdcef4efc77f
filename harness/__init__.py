"""The trusted part: data, tokenizer, meter, sandbox, scorer, and one experiment from spec to result.

Nothing in here knows git, the journal, a language model or a terminal.
"""
