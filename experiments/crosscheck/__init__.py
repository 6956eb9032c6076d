"""The comparison of jaxscat with FOSCAT, live and with stored numbers."""
