/** Texts that must fit. Lengths count as channels and stores do, in UTF-16 units. */

/** Never through a character. */
export const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1).replace(/[\uD800-\uDBFF]$/, "")}…`

/** Keys that differ stay different: what does not fit is told by a digest of the whole (FNV-1a, 32 bits). */
export const cutKey = (key: string, most: number): string => {
  if (key.length <= most) return key
  let digest = 0x811c9dc5
  for (let i = 0; i < key.length; i++) digest = Math.imul(digest ^ key.charCodeAt(i), 0x01000193) >>> 0
  return `${cut(key, most - 9)}#${digest.toString(16).padStart(8, "0")}`
}
