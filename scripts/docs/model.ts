/** What the pages of the API are made of: modules, what they export, and what is written above each. */

/** What a comment says. */
export interface Doc {
  /** Markdown, without the tags. Empty where nothing is written. */
  readonly text: string
  /** What is written below **Example**: it comes last on the page, below what the signature says. */
  readonly closing: ReadonlyArray<string>
  /** All programs in it, wherever they stand. */
  readonly examples: ReadonlyArray<string>
  readonly category: string | undefined
  readonly byDefault: string | undefined
}

/** A property, a method or a field. */
export interface Member {
  readonly name: string
  readonly doc: Doc
  readonly optional: boolean
  /** The type as written, or the whole signature where it is one of a method. */
  readonly type: string
  /** What an effect, a stream or a layer of this type fails with, and needs. */
  readonly fails: string | undefined
  readonly needs: string | undefined
}

export interface Export {
  readonly name: string
  readonly kind: "class" | "const" | "interface" | "type"
  readonly doc: Doc
  readonly signature: string
  readonly fails: string | undefined
  readonly needs: string | undefined
  /** Whether the members are what a caller may set. */
  readonly isOptions: boolean
  readonly members: ReadonlyArray<Member>
  /** Where its declaration begins: path from the repository's root, and line. */
  readonly at: string
}

export interface Module {
  readonly packageName: string
  readonly name: string
  /** What another program imports it by. */
  readonly specifier: string
  /** Whether the package exports it by its name, and not by its path alone. */
  readonly isNamed: boolean
  readonly doc: Doc
  readonly exports: ReadonlyArray<Export>
  /** Modules all of whose exports are exports of this one, too. */
  readonly includes: ReadonlyArray<string>
}
