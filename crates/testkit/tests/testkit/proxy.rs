use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use strongroom_testkit::Proxy;

/// A server that sends back whatever it is sent.
fn echo() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut back = stream.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut stream, &mut back));
        }
    });
    port
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream
}

fn echoes(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"hello")?;
    stream.read_exact(&mut [0; 5])
}

#[test]
fn a_proxy_passes_cuts_and_heals() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    echoes(&mut stream).unwrap();
    assert_eq!(proxy.bytes_passed(), 10);

    proxy.cut();
    assert!(echoes(&mut stream).is_err());
    echoes(&mut connect(&proxy)).unwrap();
    assert_eq!(proxy.connections(), 2);

    proxy.refuse();
    assert!(echoes(&mut connect(&proxy)).is_err());
    proxy.heal();
    echoes(&mut connect(&proxy)).unwrap();
}

#[test]
fn a_proxy_cuts_after_so_many_bytes() {
    let proxy = Proxy::to(echo());
    proxy.cut_after(13);
    let mut stream = connect(&proxy);
    echoes(&mut stream).unwrap();
    assert!(echoes(&mut stream).is_err());
    assert_eq!(proxy.bytes_passed(), 13);
    assert!(echoes(&mut connect(&proxy)).is_err());
}

#[test]
fn a_stalled_proxy_is_silent_until_it_is_healed() {
    let proxy = Proxy::to(echo());
    let mut stream = connect(&proxy);
    echoes(&mut stream).unwrap();
    proxy.stall();
    let error = echoes(&mut stream).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    proxy.heal();
    stream.read_exact(&mut [0; 5]).unwrap();
}
