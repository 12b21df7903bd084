/**
 * Names of backing files as QEMU reads them in qcow and qcow2 images: what stands before a colon is a protocol, unless there is a slash before that. Only
 * `file:` is one that we follow.
 */
const protocol = /^[^/:]*:/

/** The path that a name means; null when it is none. */
export function backingPath(name: string): string | null {
  if (name.startsWith('file:')) return name.slice('file:'.length)
  return protocol.test(name) ? null : name
}

/** The name to write for a path. */
export function backingName(path: string): string {
  return protocol.test(path) ? `./${path}` : path
}
