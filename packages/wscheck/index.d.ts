/** What to install when there is no wscheck on this machine: one sentence. */
export declare const INSTALL: string;

/**
 * Find the command that runs wscheck: the WSCHECK variable, an installed wscheck, or uvx.
 * Return its program and first arguments, or undefined if there is none.
 */
export declare function findCommand(environment?: NodeJS.ProcessEnv): string[] | undefined;

/** Return the environment for a program that this launcher starts. */
export declare function environmentOf(environment?: NodeJS.ProcessEnv): NodeJS.ProcessEnv;
