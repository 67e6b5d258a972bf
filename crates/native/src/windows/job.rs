//! A job: a process and all it starts, which end when whoever made the job ends, however that is.

use std::io;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::ptr::null;

use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{OpenProcess, PROCESS_SET_QUOTA, PROCESS_TERMINATE};

/// A process and what it starts from now on; dropping it ends them all.
#[derive(Debug)]
pub struct Job {
    _handle: OwnedHandle,
}

impl Job {
    /// A job around a process that was just started.
    ///
    /// # Errors
    /// The system's own, when it knows no such process or lets this user have no job around it.
    pub fn around(pid: u32) -> io::Result<Self> {
        // SAFETY: no attributes and no name; what is opened is closed when it drops.
        let job = super::owned(unsafe { CreateJobObjectW(null(), null()) })
            .ok_or_else(io::Error::last_os_error)?;
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = u32::try_from(size_of_val(&limits)).unwrap_or_default();
        let (handle, from) = (job.as_raw_handle(), (&raw const limits).cast());
        // SAFETY: the job is open, and `size` is the size of what is read.
        let done = unsafe {
            SetInformationJobObject(handle, JobObjectExtendedLimitInformation, from, size)
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: takes numbers alone; what it opens is closed when it drops.
        let process = unsafe { OpenProcess(PROCESS_SET_QUOTA | PROCESS_TERMINATE, 0, pid) };
        let process = super::owned(process).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: both are open.
        if unsafe { AssignProcessToJobObject(handle, process.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { _handle: job })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::Job;

    #[test]
    fn a_process_ends_when_its_job_is_dropped() {
        let mut waits = Command::new("cmd.exe");
        waits.args(["/c", "pause"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = waits.spawn().unwrap();
        let job = Job::around(child.id()).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        drop(job);
        child.wait().unwrap();
        assert!(Job::around(child.id()).is_err());
    }
}
