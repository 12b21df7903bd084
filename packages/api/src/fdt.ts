/** A property of a device-tree node. Numbers become 32-bit cells; `{ u64 }` two cells; `{ ref }` the phandle of a node. */
export type FdtValue =
  | true
  | string
  | number
  | Uint8Array
  | readonly FdtCell[]
  | readonly string[]

/** One cell (or two) of a cell-array property. `ref` names a part: it becomes that part's phandle. */
export type FdtCell = number | { readonly u64: number } | { readonly ref: string }

/**
 * A device-tree node under construction (Devicetree Specification 0.4, chapter 2). Builders in `@machinist/boot`
 * implement it; devices only add to it.
 */
export interface FdtNode {
  /** Sets a property. Setting it again replaces it. */
  set(name: string, value: FdtValue): FdtNode
  /** The child of that name, made on first use. */
  child(name: string): FdtNode
  /** Lets `{ ref: label }` in any property refer to this node. */
  label(label: string): FdtNode
}
