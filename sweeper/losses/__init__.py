"""Loss families: `catalogue` is the table of them, `family` says what one is, `module` makes a torch module of one."""
