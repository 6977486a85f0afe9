//! How many connections are answered at a time: what strangers hold open must not take the descriptors that cameras and
//! evidence need.

use axum_server::accept::Accept;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at a time, at most; a fourth of the program's descriptors where that is less.
const MOST: usize = 512;
/// How long a request's header may take.
pub(super) const HEADER: Duration = Duration::from_secs(10);
/// Without a byte for so long a connection is closed; a page that is told of news is told something more often.
const IDLE: Duration = Duration::from_secs(40);

/// Connections that may be open at a time.
pub(super) fn room() -> usize {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    descriptors.map_or(MOST, |most| usize::try_from(most / 4).unwrap_or(MOST).clamp(8, MOST))
}

/// Accepts no more than so many connections at a time; those past them are closed at once.
#[derive(Clone)]
pub(super) struct Limited<A> {
    inner: A,
    room: Arc<Semaphore>,
}

impl<A> Limited<A> {
    pub(super) fn new(inner: A, room: usize) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(room)) }
    }
}

impl<A, I, S> Accept<I, S> for Limited<A>
where
    A: Accept<I, S>,
    A::Future: Send + 'static,
{
    type Stream = CountedConnection<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            return Box::pin(async { Err(io::Error::other("too many connections")) });
        };
        let accepting = self.inner.accept(stream, service);
        Box::pin(async move {
            let (stream, service) = accepting.await?;
            Ok((CountedConnection { stream, idle: Box::pin(sleep(HEADER)), _permit: permit }, service))
        })
    }
}

/// A connection that ends when nothing goes over it; makes room when it is dropped.
pub(super) struct CountedConnection<S> {
    stream: S,
    idle: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<S> CountedConnection<S> {
    fn is_alive(&mut self) {
        self.idle.as_mut().reset(Instant::now() + IDLE);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CountedConnection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let ready @ Poll::Ready(_) = Pin::new(&mut self.stream).poll_read(cx, buf) {
            self.is_alive();
            return ready;
        }
        self.idle.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CountedConnection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if written.is_ready() {
            self.is_alive();
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
