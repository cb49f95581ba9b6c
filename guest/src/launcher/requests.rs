//! What a daemon can ask. `docs/launcher-protocol.md` is the contract.

use super::connection::Frame;
use super::fault::Fault;
use super::host::{Client, Host};
use super::hostname;
use super::job::Waiter;
use super::pipes;
use super::server::Server;
use crate::fields::{Fields, Writer, OPERATION};
use crate::frames::{kind, NEWEST_VERSION, OLDEST_VERSION};

const START: u64 = 1;
const LIST: u64 = 2;
const GET: u64 = 3;
const DESTROY: u64 = 4;
const SIGNAL: u64 = 5;
const OUTPUT: u64 = 6;
const INIT_PID: u64 = 7;
const WATCH: u64 = 8;
const STOP: u64 = 9;
const PIPES_OPEN: u64 = 10;
const LIVING: u64 = 11;
const SWEEP: u64 = 12;
const HOSTNAME: u64 = 13;

/// False: the other side does not keep to the protocol, and the connection ends.
pub fn handle(server: &mut Server, client: Client, frame: &Frame) -> bool {
    let greeted = server.connections.get(&client.connection).map_or(false, |connection| connection.greeted);
    match frame.kind {
        kind::PAD => true,
        kind::HELLO if !greeted => hello(server, client, &frame.payload),
        _ if !greeted => false,
        kind::PING => {
            server.host.answer(client, kind::PONG, frame.payload.clone());
            true
        }
        kind::OPEN => open(server, client, &frame.payload),
        kind::DATA => {
            let taken = (server.connections.get_mut(&client.connection))
                .map_or(true, |connection| connection.upload(client.channel, &frame.payload));
            if !taken {
                server.host.refuse(client, &Fault::new("payload-too-large", "the specification is too large"));
            }
            true
        }
        kind::END => {
            let upload = (server.connections.get_mut(&client.connection))
                .and_then(|connection| connection.end_upload(client.channel));
            if let Some(bytes) = upload {
                server.host.sockets = server.sockets();
                server.host.start(client, &bytes);
            }
            true
        }
        kind::CLOSE => {
            close(server, client);
            true
        }
        _ => false,
    }
}

fn hello(server: &mut Server, client: Client, payload: &[u8]) -> bool {
    let read = |payload| -> Result<(u64, u64, String), Fault> {
        let fields = Fields::parse(payload)?;
        let newest = fields.number(1)?.unwrap_or(0);
        let oldest = fields.number(2)?.unwrap_or(newest);
        Ok((newest, oldest, fields.text(6)?.unwrap_or("").to_string()))
    };
    let refusal = match read(payload) {
        Err(_) => return false,
        Ok((newest, oldest, _)) if newest < OLDEST_VERSION || oldest > NEWEST_VERSION => {
            Fault::new("unsupported", "no version of the launcher protocol in common")
        }
        Ok((_, _, installation)) if installation != server.host.installation => {
            Fault::new("wrong-state", "this launcher belongs to another installation")
        }
        Ok((newest, _, _)) => {
            let welcome = Writer::new()
                .number(1, newest.min(NEWEST_VERSION))
                .text(2, crate::VERSION)
                .number(3, server.host.me.pid as u64)
                .number(4, NEWEST_VERSION);
            if let Some(connection) = server.connections.get_mut(&client.connection) {
                connection.greeted = true;
            }
            server.host.answer(client, kind::WELCOME, welcome.finish());
            return true;
        }
    };
    let payload = Writer::new().text(1, refusal.code).text(2, &refusal.message).finish();
    if let Some(connection) = server.connections.get_mut(&client.connection) {
        connection.queue(kind::CLOSE, 0, &payload);
        connection.closing = true;
    }
    true
}

fn open(server: &mut Server, client: Client, payload: &[u8]) -> bool {
    let fields = match Fields::parse(payload) {
        Ok(fields) => fields,
        Err(_) => return false,
    };
    let answered = match fields.number(OPERATION) {
        Ok(Some(START)) => begin_upload(server, client),
        Ok(Some(WATCH)) => watch(server, client),
        Ok(Some(STOP)) => stop(server, client),
        Ok(Some(operation)) => ask(&mut server.host, client, operation, &fields),
        _ => return false,
    };
    if let Err(fault) = answered {
        server.host.refuse(client, &fault);
    }
    true
}

fn begin_upload(server: &mut Server, client: Client) -> Result<(), Fault> {
    let begun = (server.connections.get_mut(&client.connection))
        .map_or(true, |connection| connection.begin_upload(client.channel));
    match begun {
        true => Ok(()),
        false => Err(Fault::new("limit-reached", "too many starts are on their way")),
    }
}

fn watch(server: &mut Server, client: Client) -> Result<(), Fault> {
    if let Some(connection) = server.connections.get_mut(&client.connection) {
        connection.watch = Some(client.channel);
    }
    server.host.answer(client, kind::OPENED, Vec::new());
    Ok(())
}

fn stop(server: &mut Server, client: Client) -> Result<(), Fault> {
    server.host.load_all();
    if server.host.is_busy() {
        return Err(Fault::new("wrong-state", format!("{} host processes live", server.host.live())));
    }
    server.host.answer(client, kind::OPENED, Vec::new());
    server.host.done(client);
    server.ending = true;
    Ok(())
}

fn ask(host: &mut Host, client: Client, operation: u64, fields: &Fields<'_>) -> Result<(), Fault> {
    let id = || -> Result<&str, Fault> { fields.text(2)?.ok_or_else(|| Fault::invalid("no id")) };
    match operation {
        LIST => {
            let (entries, more) = host.page(fields.text(2)?.unwrap_or(""));
            host.answer(client, kind::OPENED, Writer::new().truth(2, more).finish());
            for entry in entries {
                host.answer(client, kind::EVENT, entry);
            }
        }
        GET => {
            let entry = host.find(id()?)?.describe().finish();
            host.answer(client, kind::OPENED, entry);
        }
        DESTROY => {
            host.destroy(id()?, Some(Waiter::Destroyed(client)));
            return Ok(());
        }
        SIGNAL => {
            let number = fields.number(3)?.unwrap_or(0).min(i32::MAX as u64) as i32;
            host.signal(id()?, number, fields.truth(4)?, fields.truth(5)?)?;
            host.answer(client, kind::OPENED, Vec::new());
        }
        OUTPUT => {
            let stream = match fields.number(3)? {
                Some(1) => 1,
                Some(2) => 2,
                _ => return Err(Fault::invalid("no such stream")),
            };
            let held = host.find(id()?)?.held.as_mut();
            let bytes = held.map_or_else(Vec::new, |held| held.bytes(stream));
            host.answer(client, kind::OPENED, Writer::new().bytes(2, &bytes).finish());
        }
        INIT_PID => {
            let mut answer = Writer::new();
            if let Some(pid) = host.init_pid(id()?)? {
                answer.put_number(2, pid as u64);
            }
            host.answer(client, kind::OPENED, answer.finish());
        }
        PIPES_OPEN => {
            let id = id()?;
            host.find(id)?.pipes.clear();
            pipes::remove(&host.state, id);
            host.answer(client, kind::OPENED, Vec::new());
        }
        LIVING => {
            let count = host.living_of(id()?)?.len();
            host.answer(client, kind::OPENED, Writer::new().number(2, count as u64).finish());
        }
        HOSTNAME => {
            let (pid, start) = (fields.number(3)?.unwrap_or(0), fields.number(5)?.unwrap_or(0));
            hostname::set(pid, start, fields.text(4)?.unwrap_or(""))?;
            host.answer(client, kind::OPENED, Vec::new());
        }
        SWEEP => {
            host.sweep(client);
            return Ok(());
        }
        _ => return Err(Fault::new("unsupported", "unknown operation")),
    }
    host.done(client);
    Ok(())
}

fn close(server: &mut Server, client: Client) {
    if let Some(connection) = server.connections.get_mut(&client.connection) {
        connection.end_upload(client.channel);
        if connection.watch == Some(client.channel) {
            connection.watch = None;
        }
    }
    server.host.cancel_start(client);
}
