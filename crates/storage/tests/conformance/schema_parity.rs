//! Both databases have the same tables, columns and indexes, and the migrations that make them go by the same names.

use std::{collections::BTreeSet, path::Path};

use crate::Fresh;

#[test]
fn migrations_are_paired() {
    let names = |dialect: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(dialect);
        let names = std::fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[tokio::test]
async fn tables_columns_and_indexes_are_the_same() {
    let postgres = Fresh::postgres().await;
    let sqlite = Fresh::sqlite().await;
    assert_eq!(columns_of_sqlite(&sqlite.url).await, columns_of_postgres(&postgres.url).await);
    assert_eq!(indexes_of_sqlite(&sqlite.url).await, indexes_of_postgres(&postgres.url).await);
    postgres.end().await;
    sqlite.end().await;
}

/// Table, column, type as SQLite has it, whether it must be given.
type Column = (String, String, String, bool);

async fn columns_of_sqlite(url: &str) -> BTreeSet<Column> {
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(url).await.unwrap();
    let rows: Vec<Column> = sqlx::query_as(
        "select t.name, c.name, lower(c.type), c.\"notnull\" = 1 from sqlite_master t join pragma_table_info(t.name) c \
         where t.type = 'table' and t.name not like 'sqlite_%' and t.name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    rows.into_iter().collect()
}

async fn columns_of_postgres(url: &str) -> BTreeSet<Column> {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    let rows: Vec<Column> = sqlx::query_as(
        "select table_name::text, column_name::text, data_type::text, is_nullable = 'NO' \
         from information_schema.columns join information_schema.tables using (table_schema, table_name) \
         where table_schema = 'public' and table_type = 'BASE TABLE' and table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let translated = |(table, column, kind, required): Column| {
        let kind = match kind.as_str() {
            "uuid" | "bytea" => "blob",
            "bigint" | "boolean" => "integer",
            "text" => "text",
            other => panic!("{table}.{column} is {other}, which is outside the vocabulary of crates/storage/README.md"),
        };
        (table, column, kind.to_owned(), required)
    };
    rows.into_iter().map(translated).collect()
}

async fn indexes_of_sqlite(url: &str) -> BTreeSet<(String, String)> {
    let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(url).await.unwrap();
    let rows: Vec<(String, String)> =
        sqlx::query_as("select tbl_name, name from sqlite_master where type = 'index' and sql is not null")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    rows.into_iter().collect()
}

/// Without those that PostgreSQL makes for constraints, which have no name in SQLite.
async fn indexes_of_postgres(url: &str) -> BTreeSet<(String, String)> {
    let mut connection = <sqlx::PgConnection as sqlx::Connection>::connect(url).await.unwrap();
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select tablename::text, indexname::text from pg_indexes where schemaname = 'public' \
         and indexname not in (select conname from pg_constraint) and tablename <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    rows.into_iter().collect()
}
