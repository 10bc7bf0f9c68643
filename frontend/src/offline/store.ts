/**
 * Rows by key, in the order they were put: IndexedDB, or the page's memory where a browser has none
 * (`lasting` says which). Rows are structured clones: text, numbers, blobs.
 */
export interface Store<T extends { key: string }> {
  /** Whether rows outlive the page. */
  readonly lasting: boolean;
  put: (row: T) => Promise<void>;
  all: () => Promise<T[]>;
  drop: (key: string) => Promise<void>;
}

export class Memory<T extends { key: string }> implements Store<T> {
  readonly lasting = false;
  private readonly rows = new Map<string, T>();

  async put(row: T): Promise<void> {
    this.rows.set(row.key, structuredClone(row));
  }
  async all(): Promise<T[]> {
    return [...this.rows.values()].map((one) => structuredClone(one));
  }
  async drop(key: string): Promise<void> {
    this.rows.delete(key);
  }
}

const DATABASE = "wusetu";
const TABLES = ["queue", "notes"] as const;

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Lasting<T extends { key: string }> implements Store<T> {
  readonly lasting = true;
  constructor(
    private readonly database: IDBDatabase,
    private readonly table: string,
  ) {}

  /** Settles when the change is on the disk, not when it is only asked for. */
  private change(work: (rows: IDBObjectStore) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const one = this.database.transaction(this.table, "readwrite", { durability: "strict" });
      one.oncomplete = () => resolve();
      one.onerror = () => reject(one.error);
      one.onabort = () => reject(one.error);
      work(one.objectStore(this.table));
    });
  }
  /** A row that is put again keeps its place. */
  put(row: T): Promise<void> {
    return this.change((rows) => {
      const known = rows.index("key").getKey(row.key);
      known.onsuccess = () => rows.put(row, known.result);
    });
  }
  all(): Promise<T[]> {
    return settled(this.database.transaction(this.table).objectStore(this.table).getAll());
  }
  drop(key: string): Promise<void> {
    return this.change((rows) => {
      const known = rows.index("key").getKey(key);
      known.onsuccess = () => {
        if (known.result !== undefined) rows.delete(known.result);
      };
    });
  }
}

let opened: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      for (const one of TABLES) {
        const rows = asked.result.createObjectStore(one, { autoIncrement: true });
        rows.createIndex("key", "key", { unique: true });
      }
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
    asked.onblocked = () => reject(new Error("the browser's database is held by another page"));
  });
  return opened;
}

const memories = new Map<string, Memory<never>>();

/** Rows of a table: `queue` what is to be sent, `notes` what a page wants to know again. */
export async function openStore<T extends { key: string }>(
  table: (typeof TABLES)[number],
): Promise<Store<T>> {
  try {
    return new Lasting<T>(await open(), table);
  } catch {
    const known = memories.get(table) ?? new Memory<never>();
    memories.set(table, known);
    return known as unknown as Store<T>;
  }
}
