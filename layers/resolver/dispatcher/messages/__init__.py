"""Messages from the caller's side: acceptance, requests, history and mailboxes."""
