"""The conformance kit: what every rule and every population must keep, as checks that users can run too."""
