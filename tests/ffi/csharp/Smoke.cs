// The C API through DllImport alone. Prints "ok" when everything is as the headers say.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;

static class Smoke
{
    const string Library = "trainyard";
    const int Ok = 0, End = -1, NotFound = 2, Completed = 7, Failed = 8, EventLog = 2;
    const long WaitForever = -1;

    [StructLayout(LayoutKind.Sequential)]
    struct Event
    {
        public uint StructSize;
        public int Kind;
        public long TimeMs;
        public int Rank;
        public int State;
        public IntPtr Text;
        public ulong TextSize;
        public IntPtr Name;
        public long Step;
        public double Value;
    }

    // Strings go in as UTF-8 bytes with a NUL and come out as pointers: no marshaller guesses an encoding or an owner.
    [DllImport(Library)] static extern IntPtr ty_version();
    [DllImport(Library)] static extern IntPtr ty_status_name(int status);
    [DllImport(Library)] static extern int ty_error_status(IntPtr error);
    [DllImport(Library)] static extern IntPtr ty_error_message(IntPtr error);
    [DllImport(Library)] static extern IntPtr ty_error_detail(IntPtr error, byte[] key);
    [DllImport(Library)] static extern void ty_error_free(IntPtr error);
    [DllImport(Library)] static extern int ty_workspace_open(byte[] location, out IntPtr workspace, out IntPtr err);
    [DllImport(Library)] static extern void ty_workspace_free(IntPtr workspace);
    [DllImport(Library)] static extern int ty_job_new_command(byte[] source, IntPtr[] argv, UIntPtr argc, out IntPtr job, out IntPtr err);
    [DllImport(Library)] static extern void ty_job_free(IntPtr job);
    [DllImport(Library)] static extern int ty_run_submit(IntPtr workspace, byte[] experiment, IntPtr job, out IntPtr run, out IntPtr err);
    [DllImport(Library)] static extern int ty_run_get(IntPtr workspace, byte[] id, out IntPtr run, out IntPtr err);
    [DllImport(Library)] static extern int ty_run_wait(IntPtr run, long timeoutMs, out int state, out IntPtr err);
    [DllImport(Library)] static extern int ty_run_failure(IntPtr run, out IntPtr failure, out IntPtr err);
    [DllImport(Library)] static extern void ty_run_free(IntPtr run);
    [DllImport(Library)] static extern int ty_run_get_metric_value(IntPtr run, byte[] name, out double value, out IntPtr err);
    [DllImport(Library)] static extern int ty_run_get_metric(IntPtr run, byte[] name, byte[] query, out IntPtr series, out IntPtr err);
    [DllImport(Library)] static extern UIntPtr ty_metric_series_size(IntPtr series);
    [DllImport(Library)] static extern IntPtr ty_metric_series_values(IntPtr series);
    [DllImport(Library)] static extern void ty_metric_series_free(IntPtr series);
    [DllImport(Library)] static extern int ty_run_events(IntPtr run, byte[] cursor, int mask, out IntPtr stream, out IntPtr err);
    [DllImport(Library)] static extern int ty_event_stream_next(IntPtr stream, long timeoutMs, out IntPtr next, out IntPtr err);
    [DllImport(Library)] static extern void ty_event_stream_free(IntPtr stream);

    static byte[] Utf8(string text) { return Encoding.UTF8.GetBytes(text + "\0"); }

    static string Text(IntPtr pointer)
    {
        int size = 0;
        while (Marshal.ReadByte(pointer, size) != 0) ++size;
        return Text(pointer, size);
    }

    static string Text(IntPtr pointer, int size)
    {
        var bytes = new byte[size];
        Marshal.Copy(pointer, bytes, 0, size);
        return Encoding.UTF8.GetString(bytes);
    }

    static void Check(int status, IntPtr err)
    {
        if (status == Ok) return;
        string message = Text(ty_status_name(status)) + ": " + Text(ty_error_message(err));
        ty_error_free(err);
        throw new Exception(message);
    }

    static void Expect(bool what, string message)
    {
        if (!what) throw new Exception(message);
    }

    static IntPtr Submit(IntPtr workspace, int wanted, params string[] command)
    {
        var argv = new IntPtr[command.Length];
        for (int i = 0; i < argv.Length; ++i)
        {
            byte[] word = Utf8(command[i]);
            argv[i] = Marshal.AllocHGlobal(word.Length);
            Marshal.Copy(word, 0, argv[i], word.Length);
        }
        IntPtr job, run, err;
        int state;
        Check(ty_job_new_command(null, argv, (UIntPtr)argv.Length, out job, out err), err);
        foreach (IntPtr word in argv) Marshal.FreeHGlobal(word);
        Check(ty_run_submit(workspace, Utf8("ffi"), job, out run, out err), err);
        ty_job_free(job);
        Check(ty_run_wait(run, WaitForever, out state, out err), err);
        Expect(state == wanted, "state " + state);
        return run;
    }

    static List<string> Lines(IntPtr run)
    {
        var found = new List<string>();
        IntPtr stream, pointer, err;
        Check(ty_run_events(run, null, EventLog, out stream, out err), err);
        int status;
        while ((status = ty_event_stream_next(stream, WaitForever, out pointer, out err)) == Ok)
        {
            var next = (Event)Marshal.PtrToStructure(pointer, typeof(Event));
            Expect(next.StructSize >= Marshal.SizeOf(typeof(Event)), "struct_size");
            found.Add(Text(next.Text, (int)next.TextSize));
        }
        Expect(status == End, "no end");
        ty_event_stream_free(stream);
        return found;
    }

    static void Run(string directory)
    {
        IntPtr workspace, series, none, err, failure;
        Check(ty_workspace_open(Utf8(directory), out workspace, out err), err);
        IntPtr run = Submit(workspace, Completed, "sh", "-c", "echo hello from $0; sleep 0.1", "csharp");
        Expect(string.Join("|", Lines(run)) == "hello from csharp", "lines");

        double value;
        byte[] name = Utf8("system/memory_bytes");
        Check(ty_run_get_metric_value(run, name, out value, out err), err);
        Check(ty_run_get_metric(run, name, null, out series, out err), err);
        var values = new double[(int)ty_metric_series_size(series)];
        Marshal.Copy(ty_metric_series_values(series), values, 0, values.Length);
        Expect(value > 0 && values[values.Length - 1] == value, "metric");
        ty_metric_series_free(series);

        Expect(ty_run_get(workspace, Utf8("no-such-run"), out none, out err) == NotFound && none == IntPtr.Zero, "no error");
        Expect(ty_error_status(err) == NotFound, "status");
        Expect(Text(ty_error_message(err)).Contains("no-such-run"), "message");
        Expect(Text(ty_error_detail(err, Utf8("run_id"))) == "no-such-run", "detail");
        ty_error_free(err);

        IntPtr failing = Submit(workspace, Failed, "sh", "-c", "echo broken >&2; exit 3");
        Check(ty_run_failure(failing, out failure, out err), err);
        Expect(Text(ty_error_detail(failure, Utf8("exit_code"))) == "3", "exit code");
        Expect(Text(ty_error_detail(failure, Utf8("stderr"))).Contains("broken"), "stderr");

        ty_workspace_free(workspace); // in any order
        ty_error_free(failure);
        ty_run_free(failing);
        ty_run_free(run);
    }

    static void Main(string[] arguments)
    {
        Run(arguments[0]);
        Console.WriteLine("ok " + Text(ty_version()));
    }
}
