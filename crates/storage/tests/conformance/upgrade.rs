//! What a binary does with a database that another version left.

use sqlx::AssertSqlSafe;
use storage::{Store, StoreError};

use crate::{Fresh, conformance, raw};

conformance! {
    /// An older binary must not work on a schema it does not know.
    async fn a_newer_schema_is_refused(fresh) {
        let yes = if fresh.store.is_shared() { "true" } else { "1" };
        let checksum = if fresh.store.is_shared() { "'\\x00'" } else { "x'00'" };
        let text = format!(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'from the future', {yes}, {checksum}, 1)"
        );
        raw!(fresh, conn => sqlx::query(AssertSqlSafe(text)).execute(conn).await.map(drop).unwrap());
        fresh.store.close().await;
        let refused = Store::open(&fresh.url).await.unwrap_err();
        assert!(matches!(refused, StoreError::TooNew(9999)), "{refused:?}");
        let text = refused.to_string();
        assert!(text.contains("migrated by a newer Signalbox"), "{text}");
    }

    /// Opening again what this version made changes nothing.
    async fn the_same_schema_is_opened_again(fresh) {
        let version = fresh.store.routing_version().await.unwrap();
        fresh.store.close().await;
        let again = Store::open(&fresh.url).await.unwrap();
        assert_eq!(again.routing_version().await.unwrap(), version);
        again.close().await;
    }
}
