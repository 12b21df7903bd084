/** What of the DOM the element uses: it is compiled without the DOM's declarations, as all packages are. */

export interface DomNode {
  textContent: string | null
  readonly clientWidth: number
  readonly clientHeight: number
  append(...nodes: DomNode[]): void
  remove(): void
  setAttribute(name: string, value: string): void
  querySelectorAll(selector: string): Iterable<DomNode>
}

export interface StyleSheet {
  replaceSync(text: string): void
}

export interface ShadowRoot extends DomNode {
  adoptedStyleSheets: readonly StyleSheet[]
}

/** An element with the callbacks of custom ones (HTML, 4.13). */
export interface ElementBase extends DomNode {
  readonly isConnected: boolean
  getAttribute(name: string): string | null
  hasAttribute(name: string): boolean
  attachShadow(options: { readonly mode: 'open' | 'closed' }): ShadowRoot
  dispatchEvent(event: unknown): boolean
  addEventListener(type: string, listener: (event: never) => void): void
}

interface Dom {
  readonly HTMLElement?: new () => ElementBase
  readonly customElements?: { get(name: string): unknown; define(name: string, element: unknown): void }
  readonly CSSStyleSheet: new () => StyleSheet
  readonly CustomEvent: new (type: string, options: { readonly detail: unknown; readonly bubbles?: boolean }) => unknown
  readonly MutationObserver: new (callback: () => void) => { observe(node: DomNode, options: { readonly childList: boolean; readonly subtree: boolean; readonly characterData: boolean }): void; disconnect(): void }
  readonly ResizeObserver: new (callback: () => void) => { observe(node: DomNode): void; disconnect(): void }
  readonly document: { createElement(name: string): DomNode; readonly baseURI: string }
}

/** The page's globals; where there is no page, as when a server imports the package, none of them. */
export const dom: Dom = globalThis as unknown as Dom
