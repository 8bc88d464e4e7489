"""What people look at: painters of opened steps, thin, and without JAX."""
