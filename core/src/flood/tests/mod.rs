mod hostile;
mod links;
mod network;
