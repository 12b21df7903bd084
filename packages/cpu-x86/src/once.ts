/** What is made when it is first asked for: programs that have no x86 machine load this package too. */
export function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}
