/** A file to be read, at once. */
export interface SnapshotInput {
  /** How errors name it. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /** Reads `length` bytes at `offset`, all within the file. @throws typed errors of the host */
  read(offset: number, length: number): Uint8Array
  /** Nothing is read any more. */
  close?(): void
}

/**
 * Opens the parent of a snapshot. Its name comes from the file, which may be anybody's: the host decides what it may lead to.
 *
 * @param child - {@link SnapshotInput.name} of the file that names it
 * @param file - the name, a path relative to the folder of `child`
 * @throws typed errors of the host
 */
export type OpenParent = (child: string, file: string) => SnapshotInput

/** A new file. */
export interface SnapshotOutput {
  /** Writes bytes, which stay as they are until it has resolved, at `offset`: one after the other, and the header at 0 last. */
  write(offset: number, bytes: Uint8Array): Promise<void>
  /** Lets others do something, while there is work and nothing to be written. Absent: they wait. */
  breathe?(): Promise<void>
}
