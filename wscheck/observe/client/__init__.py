"""Simulated client: pages whose components share one connection, or open one connection each."""
