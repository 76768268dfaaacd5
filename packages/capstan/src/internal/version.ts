/** The release, as `package.json` says: a bundle has no such file to read. */
export const version = "0.1.0"
