"""The ``.ecv`` file: schema, writer and an independent reader. docs/format.md is the contract."""
