//! A database in memory: statements parsed, planned and run, over tables that grow and shrink.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use gluesql::gluesql_memory_storage::MemoryStorage;
use gluesql::prelude::{Glue, Payload};
use std::fmt::Write;

/// Orders of one round.
const ORDERS: usize = 300;
const CUSTOMERS: usize = 100;

const TABLES: &str = "
    CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, city TEXT, note TEXT NULL);
    CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, item TEXT, price FLOAT, quantity INTEGER);";

const QUERIES: [&str; 5] = [
    "SELECT city, COUNT(*), SUM(price * quantity) FROM orders JOIN customers ON customers.id = orders.customer
     GROUP BY city HAVING COUNT(*) > 3 ORDER BY city",
    "SELECT id, item, price FROM orders WHERE price > 80 AND item LIKE '%a%' ORDER BY price DESC, id LIMIT 40",
    "SELECT UPPER(item), COUNT(*), MAX(price), AVG(quantity) FROM orders GROUP BY item ORDER BY item",
    "SELECT name || ' of ' || city, note FROM customers WHERE id IN (SELECT customer FROM orders WHERE quantity > 18)
     ORDER BY name",
    "SELECT CASE WHEN price < 20 THEN 'low' WHEN price < 70 THEN 'middle' ELSE 'high' END, item FROM orders
     WHERE customer < 20 ORDER BY item, id",
];

/// A database whose statements are all expected to succeed.
struct Database {
    glue: Glue<MemoryStorage>,
    sum: Checksum,
}

impl Database {
    fn execute(&mut self, statement: &str) {
        let payloads = self.glue.execute(statement).expect("the statement is right");
        for payload in payloads {
            match payload {
                Payload::Select { labels, rows } => {
                    self.sum.count(labels.len());
                    for value in rows.iter().flatten() {
                        self.sum.text(&String::from(value));
                    }
                }
                Payload::Insert(rows) | Payload::Update(rows) | Payload::Delete(rows) => self.sum.count(rows),
                _ => {}
            }
        }
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words = input::words();
    let mut rng = Rng::new(10);
    let mut database = Database { glue: Glue::new(MemoryStorage::default()), sum: Checksum::default() };
    database.execute(TABLES);
    let mut customers = String::from("INSERT INTO customers VALUES ");
    for id in 0..CUSTOMERS {
        let comma = if id == 0 { "" } else { "," };
        let (name, city) = (rng.pick(&words), words[rng.below(20)]);
        let note = if id % 3 == 0 { "NULL".to_owned() } else { format!("'{}'", rng.sentence(&words, 12)) };
        let _ = write!(customers, "{comma} ({id}, '{name}', '{city}', {note})");
    }
    database.execute(&customers);
    for round in 0..scale as usize {
        let mut orders = String::from("INSERT INTO orders VALUES ");
        for number in 0..ORDERS {
            let comma = if number == 0 { "" } else { "," };
            let (id, customer) = (round * ORDERS + number, rng.skewed(CUSTOMERS));
            let (item, price, quantity) = (rng.pick(&words), rng.below(800) as f64 / 8.0, rng.below(20));
            let _ = write!(orders, "{comma} ({id}, {customer}, '{item}', {price:.3}, {quantity})");
        }
        database.execute(&orders);
        QUERIES.iter().for_each(|query| database.execute(query));
        let (customer, price) = (rng.below(CUSTOMERS), rng.below(90));
        database
            .execute(&format!("UPDATE orders SET item = item || '+', price = price + 1 WHERE customer = {customer}"));
        database.execute(&format!("DELETE FROM orders WHERE price < {price}.0 AND id < {}", round * ORDERS));
    }
    database.sum.value()
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0x99ec_5218_4e08_2548);
}
