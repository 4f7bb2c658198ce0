"""Accounts: passwords, sign-ins, API keys, tickets."""
