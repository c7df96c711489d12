"""A batch run: its plan, its units, its reports."""
