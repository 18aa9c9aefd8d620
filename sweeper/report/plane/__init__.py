"""The two axes, measured: how steeply scores fall, and how much recall a family's dials buy."""
