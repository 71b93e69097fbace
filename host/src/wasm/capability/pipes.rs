//! A command's stdin and stdout: it reads one event, then the end, and what it writes is kept for the host to read.
//!
//! Invariant: no more is kept than the call allows. A command that writes more is ended, whatever it makes of errors.

use parking_lot::{Mutex, MutexGuard};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdinStream, StdoutStream};
use wasmtime_wasi::p2::{InputStream, OutputStream, Pollable, StreamError, StreamResult};

/// Bytes that a command may write at once.
const WRITE_MAX: usize = 64 * 1024;

/// Both pipes of one command.
#[derive(Default)]
pub(crate) struct CommandPipes {
    pub(crate) stdin: InputPipe,
    pub(crate) stdout: OutputPipe,
}

/// What is left to be read. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct InputPipe(Arc<Mutex<Bytes>>);

impl InputPipe {
    /// Gives the guest something to read.
    pub(crate) fn fill(&self, bytes: Vec<u8>) {
        *self.lock() = bytes.into();
    }

    fn lock(&self) -> MutexGuard<'_, Bytes> {
        self.0.lock()
    }

    fn take(&self, most: usize) -> Bytes {
        let mut left = self.lock();
        let size = most.min(left.len());
        left.split_to(size)
    }
}

/// What was written. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct OutputPipe(Arc<Mutex<PipeBuffer>>);

#[derive(Default)]
struct PipeBuffer {
    bytes: BytesMut,
    most: usize,
    overflowed: bool,
}

impl OutputPipe {
    /// Allows the guest to write `most` bytes.
    pub(crate) fn allow(&self, most: usize) {
        self.lock().most = most;
    }

    /// What the guest wrote, and whether it wanted to write more than it may.
    pub(crate) fn take(&self) -> (BytesMut, bool) {
        let mut written = self.lock();
        (std::mem::take(&mut written.bytes), written.overflowed)
    }

    fn lock(&self) -> MutexGuard<'_, PipeBuffer> {
        self.0.lock()
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut written = self.lock();
        if bytes.len() > written.most.saturating_sub(written.bytes.len()) {
            written.overflowed = true;
            return Err(io::Error::other("the command wrote more than limits.output allows"));
        }
        written.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl IsTerminal for InputPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for InputPipe {
    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(self.clone())
    }
}

impl InputStream for InputPipe {
    fn read(&mut self, most: usize) -> StreamResult<Bytes> {
        let bytes = self.take(most);
        if bytes.is_empty() && most > 0 { Err(StreamError::Closed) } else { Ok(bytes) }
    }
}

#[async_trait]
impl Pollable for InputPipe {
    async fn ready(&mut self) {}
}

impl AsyncRead for InputPipe {
    fn poll_read(self: Pin<&mut Self>, _context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let bytes = self.take(into.remaining());
        into.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl IsTerminal for OutputPipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for OutputPipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for OutputPipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        OutputPipe::write(self, &bytes).map_err(|error| StreamError::Trap(error.into()))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_MAX)
    }
}

#[async_trait]
impl Pollable for OutputPipe {
    async fn ready(&mut self) {}
}

impl AsyncWrite for OutputPipe {
    fn poll_write(self: Pin<&mut Self>, _context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(OutputPipe::write(&self, bytes).map(|()| bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
