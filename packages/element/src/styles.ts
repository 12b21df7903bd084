import { dom, type DomNode, type ShadowRoot, type StyleSheet } from './dom.ts'

function sheetOf(text: string): StyleSheet {
  const sheet = new dom.CSSStyleSheet()
  sheet.replaceSync(text)
  return sheet
}

/**
 * Has the styles in `<style>` elements of a shadow tree count where a Content-Security-Policy forbids those: sheets that a program makes are none of its
 * business. The terminal makes such elements, and changes them.
 *
 * @param own - what counts besides
 * @returns what ends it
 */
export function adoptStyles(root: ShadowRoot, below: DomNode, own: readonly string[]): () => void {
  const fixed = own.map(sheetOf)
  const adopt = (): void => {
    root.adoptedStyleSheets = [...fixed, ...[...below.querySelectorAll('style')].map(({ textContent }) => sheetOf(textContent ?? ''))]
  }
  const observer = new dom.MutationObserver(adopt)
  observer.observe(below, { childList: true, subtree: true, characterData: true })
  adopt()
  return () => { observer.disconnect() }
}
