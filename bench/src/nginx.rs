//! nginx `grpc_pass` before the same echo server, with a configuration of its own in a temporary folder.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use crate::{
    address::{Address, Target, free_loopback},
    contender::{Failure, Ground},
    process::Server,
};

/// Starts nginx before the socket.
pub fn start(ground: &Ground, backend: &Path) -> Result<(Server, Target), Failure> {
    let (home, address) = (ground.fresh("nginx")?, free_loopback()?);
    let configuration = home.join("nginx.conf");
    fs::write(&configuration, text(&home, address, backend))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(&home).arg("-c").arg(&configuration).arg("-e").arg(home.join("error.log"));
    let server = Server::start(&mut command, &ground.log("nginx"))?;
    Ok((server, Target::plain(Address::Tcp(address))))
}

/// Fair: as many workers as cores, no log, upstream connections kept, and no connection closed after 1000 requests.
fn text(home: &Path, address: SocketAddr, backend: &Path) -> String {
    let (home, backend) = (home.display(), backend.display());
    format!(
        "user root;
daemon off;
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  upstream echo {{
    server unix:{backend};
    keepalive 64;
    keepalive_requests 1000000000;
  }}
  server {{
    listen {address} http2;
    location / {{ grpc_pass grpc://echo; }}
  }}
}}
"
    )
}
