"""The sandbox's name server: answers for the hosted zones as Route 53 does."""
