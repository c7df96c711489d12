import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.server.common.HdfsServerConstants.StartupOption;

/** A NameNode at a port and a DataNode, with their data below a folder: LocalHdfs PORT FOLDER. */
public class LocalHdfs {
    public static void main(String[] arguments) throws Exception {
        File folder = new File(arguments[1]);
        boolean isNew = !new File(folder, "name-0-1").exists();
        Configuration configuration = new Configuration();
        configuration.set("fs.permissions.umask-mode", "022");
        MiniDFSCluster cluster = new MiniDFSCluster.Builder(configuration, folder)
            .nameNodePort(Integer.parseInt(arguments[0]))
            .numDataNodes(1)
            .format(isNew)
            .startupOption(isNew ? null : StartupOption.REGULAR)
            .build();
        cluster.waitActive();
        System.out.println("HDFS is up");
        Thread.sleep(Long.MAX_VALUE);
    }
}
