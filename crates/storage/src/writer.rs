//! The one writer of SQLite, with group commit.
//!
//! A task owns the write connection. It takes what is queued, runs each piece of work under a savepoint in one
//! transaction, commits, and only then answers all of them: many callers share one `fsync`, and an answer always means
//! that the work is on disk. Work must be quick and touch nothing but the connection. The queue is bounded; callers wait
//! for a place in it.

use std::{fs::File, pin::Pin};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Result, StoreError};

/// What a piece of work returns.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

/// Pieces of work that may wait for the writer.
const QUEUE: usize = 1024;
/// Most pieces of work in one commit.
const GROUP: usize = 256;

/// Sends the answer, once it is known whether the commit succeeded.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;
/// Runs the work; tells whether to keep what it did.
type Job = Box<
    dyn for<'c> FnOnce(&'c mut SqliteConnection) -> Pin<Box<dyn Future<Output = (bool, Answer)> + Send + 'c>> + Send,
>;

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    stop: watch::Sender<bool>,
    ended: watch::Receiver<bool>,
}

impl Writer {
    /// Takes the connection, and the lock of its file for as long as the connection lives.
    pub(crate) fn start(connection: SqliteConnection, lock: File) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = watch::channel(false);
        tokio::spawn(async move {
            write(connection, lock, queue, stopped).await;
            end.send_replace(true);
        });
        Self { jobs, stop, ended }
    }

    /// Commits what is queued, takes nothing new, and closes the file.
    pub(crate) async fn close(&self) {
        self.stop.send_replace(true);
        // An error means that the task is gone, which is just as well.
        let _ = self.ended.clone().wait_for(|ended| *ended).await;
    }

    /// Runs `work` in the next commit; answers when it is on disk.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            Box::pin(async move {
                let outcome = work(connection).await;
                let keep = outcome.is_ok();
                // The caller may be gone; the work is done all the same.
                let send: Answer =
                    Box::new(move |committed| drop(reply.send(outcome.and_then(|value| committed.map(|()| value)))));
                (keep, send)
            })
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Stopping)?;
        answer.await.map_err(|_| StoreError::Stopping)?
    }
}

async fn write(
    mut connection: SqliteConnection,
    lock: File,
    mut queue: mpsc::Receiver<Job>,
    mut stop: watch::Receiver<bool>,
) {
    let mut jobs = Vec::with_capacity(GROUP);
    let mut answers = Vec::with_capacity(GROUP);
    loop {
        tokio::select! {
            biased;
            taken = queue.recv_many(&mut jobs, GROUP) => if taken == 0 { break },
            // Asked to, or every store is gone; what is queued is still done.
            _ = stop.wait_for(|stop| *stop), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        }
        let committed = commit(&mut connection, &mut jobs, &mut answers).await;
        if let Err(error) = &committed {
            tracing::error!(%error, "a commit failed; nothing of it was stored");
        }
        // A job that was never run, because the transaction could not begin, drops its answer: its caller is refused.
        jobs.clear();
        for answer in answers.drain(..) {
            answer(committed.clone());
        }
    }
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "the database was not closed cleanly");
    }
    drop(lock);
}

/// Begins and ends transactions by statements of its own: SQLite ends one by itself when the disk is full, and the driver's
/// count of open transactions would never come back to zero.
async fn commit(connection: &mut SqliteConnection, jobs: &mut Vec<Job>, answers: &mut Vec<Answer>) -> Result<()> {
    let committed = run_all(connection, jobs, answers).await;
    if committed.is_err() {
        take_back(connection).await;
    }
    committed
}

async fn run_all(connection: &mut SqliteConnection, jobs: &mut Vec<Job>, answers: &mut Vec<Answer>) -> Result<()> {
    // Alone, it needs no savepoint: its transaction is its own.
    if jobs.len() == 1
        && let Some(job) = jobs.pop()
    {
        execute(connection, "begin immediate").await?;
        let (keep, answer) = job(connection).await;
        answers.push(answer);
        if keep {
            execute(connection, "commit").await?;
        } else {
            take_back(connection).await;
        }
        return Ok(());
    }
    execute(connection, "begin immediate; savepoint job").await?;
    for job in jobs.drain(..) {
        if !answers.is_empty() {
            execute(connection, "release job; savepoint job").await?;
        }
        let (keep, answer) = job(connection).await;
        answers.push(answer);
        if !keep {
            execute(connection, "rollback to job").await?;
        }
    }
    execute(connection, "release job; commit").await
}

/// Ends the transaction without a trace.
async fn take_back(connection: &mut SqliteConnection) {
    if let Err(error) = execute(connection, "rollback").await {
        tracing::debug!(%error, "the transaction had ended by itself");
    }
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str) -> Result<()> {
    sqlx::query(statement).execute(connection).await?;
    Ok(())
}
